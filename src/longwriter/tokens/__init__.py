"""From chats to token ids with labels, and from rows to packs."""
