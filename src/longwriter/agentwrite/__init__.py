"""AgentWrite: plan a long text paragraph by paragraph, then write it step by step; and what that will cost."""
