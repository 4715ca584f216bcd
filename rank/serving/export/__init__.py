"""What serving computes, as ONNX: the token encoder, the pair scorer and the network of one page."""
