// The agent is on its way: its parts land first.
