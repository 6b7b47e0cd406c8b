"""The routing table: which handler does which operation of contract.yaml."""
