"""Text in, batches out: files, pairs and chats, splits, tokenizers and token rows."""
