"""AgentWrite: plan a long text paragraph by paragraph, write it step by step; estimate what that costs."""
