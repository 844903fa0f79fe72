"""milepost inside verl: advantage estimators, policy losses and rewards by name; see docs/how-to/verl.md."""
