"""AgentWrite: plans a long text paragraph by paragraph, writes it step by step, and estimates the cost."""
