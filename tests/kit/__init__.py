"""What several tests share: rows of tables, models and graphs to try, recorders, programs of their own."""
