"""trimesh loads shapes in .inr files once this module is imported: `trimesh.load_mesh("part.inr", resolution=512)`.

`trimesh.load_scene` keeps the exact normals; `load_mesh` makes its own of the faces.
"""

from typing import IO, Any

from trimesh.exchange import load

from inrcodec.opening import open_inr


def load_inr(
    file_obj: IO[bytes], file_type: str = "inr", resolver: Any = None, metadata: Any = None, resolution: int = 256
) -> dict[str, Any]:
    """The surface of a shape on resolution^3 points of its box, as trimesh wants it: see Inr.mesh. Raises UsageError for other signals."""
    surface = open_inr(file_obj.read()).mesh(resolution=resolution)
    return {"vertices": surface.vertices, "faces": surface.faces, "vertex_normals": surface.normals, "process": False}


load.mesh_loaders["inr"] = load_inr  # type: ignore[assignment]
