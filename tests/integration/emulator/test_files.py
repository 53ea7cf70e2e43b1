"""Result files under signed addresses, and temporary uploads."""

import io
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import pytest
from PIL import Image

KEY = {"Authorization": "Bearer sk-test"}
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}
POLICY = "/uploads?action=getPolicy&model=wanx-v1"


async def _finish(remote, clock, parameters=None, *, headers=None, **words):
    created = await remote.create(parameters, headers=headers, **words)
    clock.advance(60)
    return (await remote.query(created.json["output"]["task_id"])).json["output"]


async def _upload(remote, content, *, name="a.png", changes=None, late=None):
    policy = (await remote.call("GET", POLICY, headers=KEY)).json["data"]
    fields = {
        "OSSAccessKeyId": policy["oss_access_key_id"],
        "Signature": policy["signature"],
        "policy": policy["policy"],
        "key": f"{policy['upload_dir']}/{name}",
        "x-oss-object-acl": policy["x_oss_object_acl"],
        "x-oss-forbid-overwrite": policy["x_oss_forbid_overwrite"],
        "success_action_status": "200",
    } | (changes or {})
    return fields["key"], await _post(remote, policy["upload_host"], fields, content, late=late)


async def _post(remote, host, fields, content, *, late=None):
    form = aiohttp.FormData()
    for field, value in fields.items():
        form.add_field(field, value)
    form.add_field("file", io.BytesIO(content), filename="a.png")
    if late:
        form.add_field(late, "x")
    return await remote.call("POST", host, data=form)


def _picture(width=256, height=256, kind="PNG"):
    target = io.BytesIO()
    Image.new("RGB", (width, height)).save(target, kind)
    return target.getvalue()


async def test_results_are_pictures_of_the_asked_size(launch, clock):
    remote = await launch(picture_scale=1.0)
    output = await _finish(remote, clock, {"n": 2, "size": "720*1280", "seed": 7})
    files = [await remote.call("GET", result["url"]) for result in output["results"]]
    sizes = {Image.open(io.BytesIO(file.content)).size for file in files}
    assert sizes == {(720, 1280)}
    assert files[0].content != files[1].content
    assert files[0].headers["Content-Type"] == "image/png"
    assert int(files[0].headers["Content-Length"]) == len(files[0].content)


async def test_the_same_request_with_a_seed_gives_the_same_files(remote, clock):
    files = []
    for _ in range(2):
        output = await _finish(remote, clock, {"n": 1, "seed": 7})
        files.append((await remote.call("GET", output["results"][0]["url"])).content)
    assert files[0] == files[1]


async def test_the_addresses_of_a_task_stay_the_same(remote, clock):
    task_id = await remote.create_task()
    clock.advance(60)
    first = (await remote.query(task_id)).json["output"]["results"]
    clock.advance(60)
    assert (await remote.query(task_id)).json["output"]["results"] == first


async def test_an_address_lives_as_long_as_it_says(launch, clock):
    remote = await launch(url_life_s=100)
    url = (await _finish(remote, clock, {"n": 1}))["results"][0]["url"]
    expires = int(parse_qs(urlsplit(url).query)["Expires"][0])
    clock.advance(expires - clock.now)
    assert (await remote.call("GET", url)).status == 200
    clock.advance(1)
    late = await remote.call("GET", url)
    assert late.status == 403
    assert late.headers["Content-Type"] == "application/xml"
    assert b"<Message>Request has expired.</Message>" in late.content


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"Expires": "1900000000"}, 403, b"SignatureDoesNotMatch", id="expires"),
        pytest.param({"Expires": "soon"}, 403, b"SignatureDoesNotMatch", id="expires-text"),
        pytest.param({"Signature": "AAAA"}, 403, b"SignatureDoesNotMatch", id="signature"),
        pytest.param({"OSSAccessKeyId": "other"}, 403, b"SignatureDoesNotMatch", id="key-id"),
        pytest.param({"Signature": ""}, 403, b"AccessDenied", id="unsigned"),
    ],
)
async def test_a_tampered_address_is_refused(remote, clock, changes, status, code):
    url = (await _finish(remote, clock, {"n": 1}))["results"][0]["url"]
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    reply = await remote.call("GET", parts._replace(query=urlencode(query)).geturl())
    assert reply.status == status
    assert b"<Code>" + code + b"</Code>" in reply.content


async def test_the_signature_holds_for_one_file_only(remote, clock):
    results = (await _finish(remote, clock, {"n": 2}))["results"]
    one, other = (urlsplit(result["url"]) for result in results)
    reply = await remote.call("GET", one._replace(path=other.path).geturl())
    assert reply.status == 403


async def test_a_key_sent_to_the_file_host_is_an_error(remote, clock):
    url = (await _finish(remote, clock, {"n": 1}))["results"][0]["url"]
    assert (await remote.call("GET", url, headers=KEY)).status == 400


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
async def test_an_uploaded_reference_picture_is_used(remote, clock, kind):
    key, uploaded = await _upload(remote, _picture(kind=kind))
    assert uploaded.status == 200
    output = await _finish(remote, clock, ref_img=f"oss://{key}", headers=RESOLVE)
    assert output["task_status"] == "SUCCEEDED"


async def test_an_oss_address_without_the_resolve_header_is_refused(remote):
    reply = await remote.create(ref_img="oss://some/file.png")
    assert reply.error == (400, "InvalidParameter.DataInspection")
    assert remote.emulator.creates == {}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"no picture", "InvalidImageFormat", id="text"),
        pytest.param(_picture(kind="GIF"), "InvalidImageFormat", id="gif"),
        pytest.param(_picture(255, 256), "InvalidImageResolution", id="narrow"),
        pytest.param(_picture(4097, 256), "InvalidImageResolution", id="wide"),
        pytest.param(b"x" * (10 * 2**20 + 1), "BadRequest.TooLarge", id="heavy"),
    ],
)
async def test_a_bad_reference_picture_fails_inside_the_task(remote, clock, content, code):
    key, _ = await _upload(remote, content)
    output = await _finish(remote, clock, {"n": 2}, ref_img=f"oss://{key}", headers=RESOLVE)
    assert (output["task_status"], output["code"]) == ("FAILED", code)
    assert output["task_metrics"] == {"TOTAL": 2, "SUCCEEDED": 0, "FAILED": 2}
    assert "results" not in output


@pytest.mark.parametrize(
    "url",
    [
        "oss://dashscope-instant/never/uploaded.png",
        "https://nowhere.invalid/a.png",
        "https://[::1/a.png",
    ],
)
async def test_a_reference_picture_that_is_not_there_fails_inside_the_task(remote, clock, url):
    output = await _finish(remote, clock, ref_img=url, headers=RESOLVE)
    assert output["code"] == "BadRequest.InputDownloadFailed"


async def test_an_upload_lives_two_days(remote, clock):
    key, _ = await _upload(remote, _picture())
    clock.advance(48 * 3600)
    output = await _finish(remote, clock, ref_img=f"oss://{key}", headers=RESOLVE)
    assert output["code"] == "BadRequest.InputDownloadFailed"


async def test_an_upload_belongs_to_the_model_of_its_policy(remote, clock):
    other = POLICY.replace("wanx-v1", "qwen-voice-design")
    policy = (await remote.call("GET", other, headers=KEY)).json["data"]
    key, _ = await _upload(
        remote,
        _picture(),
        changes={
            "key": f"{policy['upload_dir']}/a.png",
            "policy": policy["policy"],
            "Signature": policy["signature"],
        },
    )
    output = await _finish(remote, clock, ref_img=f"oss://{key}", headers=RESOLVE)
    assert output["code"] == "BadRequest.InputDownloadFailed"


@pytest.mark.parametrize(
    ("changes", "late", "status", "code"),
    [
        pytest.param({"Signature": "AAAA"}, None, 403, b"SignatureDoesNotMatch", id="signature"),
        pytest.param({"OSSAccessKeyId": "x"}, None, 403, b"InvalidAccessKeyId", id="key-id"),
        pytest.param({"key": "elsewhere/a.png"}, None, 403, b"AccessDenied", id="folder"),
        pytest.param({"x-oss-object-acl": "public"}, None, 403, b"AccessDenied", id="acl"),
        pytest.param({}, "extra", 400, b"InvalidArgument", id="file-not-last"),
    ],
)
async def test_an_upload_form_must_keep_to_its_policy(remote, changes, late, status, code):
    _, reply = await _upload(remote, _picture(), changes=changes, late=late)
    assert reply.status == status
    assert b"<Code>" + code + b"</Code>" in reply.content


async def test_an_upload_policy_expires(remote, clock):
    policy = (await remote.call("GET", POLICY, headers=KEY)).json["data"]
    assert policy["expire_in_seconds"] == 300
    clock.advance(301)
    fields = {
        "OSSAccessKeyId": policy["oss_access_key_id"],
        "Signature": policy["signature"],
        "policy": policy["policy"],
        "key": f"{policy['upload_dir']}/a.png",
    }
    reply = await _post(remote, policy["upload_host"], fields, _picture())
    assert reply.status == 403
    assert b"Policy expired" in reply.content


async def test_an_upload_is_not_overwritten(remote):
    policy = (await remote.call("GET", POLICY, headers=KEY)).json["data"]
    fields = {
        "OSSAccessKeyId": policy["oss_access_key_id"],
        "Signature": policy["signature"],
        "policy": policy["policy"],
        "key": f"{policy['upload_dir']}/a.png",
        "x-oss-object-acl": "private",
        "x-oss-forbid-overwrite": "true",
    }
    statuses = [
        (await _post(remote, policy["upload_host"], fields, _picture())).status for _ in range(2)
    ]
    assert statuses == [204, 409]


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        pytest.param(b"x", {}, id="no-form"),
        pytest.param(b"x", KEY, id="with-key"),
        pytest.param(b"x", {"Content-Type": "multipart/form-data; boundary=b"}, id="no-parts"),
        pytest.param(
            b"--b\r\n\r\nx\r\n--b--\r\n",
            {"Content-Type": "multipart/form-data; boundary=b"},
            id="part-without-name",
        ),
        pytest.param(
            b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nx\r\n--b--\r\n',
            {"Content-Type": "multipart/form-data; boundary=b"},
            id="no-file",
        ),
    ],
)
async def test_an_upload_must_be_a_whole_form_without_a_key(remote, content, headers):
    host = f"{remote.origin}/dashscope-file-mgr"
    reply = await remote.call("POST", host, data=content, headers=headers)
    assert reply.status == 400


async def test_an_upload_must_not_be_larger_than_its_policy_says(remote):
    _, reply = await _upload(remote, bytes(100 * 2**20 + 1))
    assert reply.status == 400
    assert b"EntityTooLarge" in reply.content


@pytest.mark.parametrize("query", ["model=wanx-v1", "action=getPolicy&model=other"])
async def test_a_policy_is_for_a_known_model(remote, query):
    reply = await remote.call("GET", f"/uploads?{query}", headers=KEY)
    assert reply.error == (400, "InvalidParameter")


async def test_policies_are_limited_to_a_hundred_a_second(launch):
    remote = await launch()
    statuses = [(await remote.call("GET", POLICY, headers=KEY)).status for _ in range(101)]
    assert statuses == [200] * 100 + [429]


async def test_a_picture_shows_the_reference_that_it_was_made_with(remote, clock):
    files = []
    for content in (_picture(), _picture(kind="BMP")[:5000]):
        key, _ = await _upload(remote, content, name=f"{len(files)}.png")
        output = await _finish(
            remote, clock, {"n": 1, "seed": 7}, ref_img=f"oss://{key}", headers=RESOLVE
        )
        files.append((await remote.call("GET", output["results"][0]["url"])).content)
    plain = await _finish(remote, clock, {"n": 1, "seed": 7})
    unreferenced = (await remote.call("GET", plain["results"][0]["url"])).content
    shown, header_only = files
    assert shown != unreferenced
    assert header_only == unreferenced
