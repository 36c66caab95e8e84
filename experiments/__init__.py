"""Studies that each answered one question. README.md has the questions, the dates and the answers."""
