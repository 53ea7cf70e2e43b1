"""A file of the user read once more: whether its bytes are still those of the plan."""

import hashlib
import os
from io import BufferedReader

from dsrun.common.errors import FileChanged
from dsrun.common.models import UploadFile
from dsrun.common.user_files import UPLOAD_BYTES, Unreadable, open_file


class CheckedReader(BufferedReader):
    """The bytes of an UploadFile; `check()` after the last one tells whether they still are."""

    def __init__(self, file: UploadFile) -> None:
        """Raises FileChanged where the file is gone or of another size."""
        self._file = file
        self._hash = hashlib.sha256()
        try:
            super().__init__(open_file(file.path, most=UPLOAD_BYTES).detach())
        except Unreadable as error:
            raise _changed(file) from error
        if os.fstat(self.fileno()).st_size != file.size:
            self.close()
            raise _changed(file)

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self._hash.update(data)
        return data

    def check(self) -> None:
        """Raises FileChanged where other bytes were read than the plan was made with."""
        if self._hash.hexdigest() != self._file.sha256:
            raise _changed(self._file)


def _changed(file: UploadFile) -> FileChanged:
    return FileChanged(
        f"{file.name} is not what it was when the plan was made; run again to plan with the file "
        "as it is, or put it back and add --retry-failed"
    )
