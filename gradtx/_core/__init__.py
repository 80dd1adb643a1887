"""What every transform shares: the contract, the lift, composition, hyperparameters, errors."""
