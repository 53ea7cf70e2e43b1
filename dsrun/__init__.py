"""dsrun: declarative batch runner for the DashScope (Qwen Cloud) generation APIs."""

__version__ = "0.1.0"
