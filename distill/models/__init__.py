"""What a name given for a model stands for: a folder, hub id, package, GGUF file, endpoint, or one made from nothing.

Named, checked, converted and opened here; what a model is used for is said in `teachers` and `student`.
"""
