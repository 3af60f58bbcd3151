"""AgentWrite: plans a long text paragraph by paragraph, and writes it step by step."""
