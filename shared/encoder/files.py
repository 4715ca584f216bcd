"""What a published encoder's folder holds."""

ENCODER_FILES = (
    *("config.json", "model*.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "*.model", "*.jinja"),
    *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("[0-9]_*/config.json", "[0-9]_*/model.safetensors"),
    *("level_head/config.json", "level_head/model.safetensors"),
)
"""What an encoder's folder is made of: text encoder, tokenizer, sentence-transformers' modules, level head. `*.model`
is a sentencepiece vocabulary.
"""
