"""Models: the smallest GLB that a viewer shows, a triangle with a shape and colour of its own."""

import json
import struct

from dsrun.emulator.media.orders import ModelOrder

GLTF_2 = 2


def solid(order: ModelOrder) -> bytes:
    """The same bytes for the same order."""
    shares = [((order.number >> shift) & 0xFF) / 255 for shift in (0, 8, 16, 24)]
    corners = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, shares[3], 1.0, 0.0]
    body = struct.pack("<9f", *corners)
    document = {
        "asset": {"version": "2.0", "generator": "emulated"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "materials": [
            {"doubleSided": True, "pbrMetallicRoughness": {"baseColorFactor": [*shares[:3], 1.0]}}
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 0],
            }
        ],
        "bufferViews": [{"buffer": 0, "byteLength": len(body)}],
        "buffers": [{"byteLength": len(body)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", GLTF_2, 12 + len(chunks)) + chunks
