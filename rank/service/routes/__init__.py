"""What can be asked for: each module is one group of addresses. A route checks, asks the service, and answers."""
