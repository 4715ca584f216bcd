"""What a name given for a model stands for: a folder, a hub id, a package, a GGUF file or an endpoint.

Opening and converting only; teachers/ and student/ use what is opened.
"""
