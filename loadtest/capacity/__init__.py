"""What a load will cost and which resource ends first: predicted from measured costs, before anybody buys a machine."""
