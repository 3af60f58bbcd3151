"""Where writing instructions come from, and which of them are selected."""
