"""What happens inside Lambda: consume a batch, claim, run and finish each job."""
