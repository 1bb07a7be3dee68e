"""The seven controls of the migration, as rules over templates (`rules`) and their names (`catalogue`)."""
