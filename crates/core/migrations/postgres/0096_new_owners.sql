-- The whole order of the log: with a column less, PostgreSQL sorts all attempts of the run for each page of it.
DROP INDEX attempts_log;
CREATE INDEX attempts_log ON attempts (run_id, at, delivery_id, number);

-- What PostgreSQL has not seen when it last looked at a table it believes not to be there: of an owner who is new it expects one row,
-- finds any index good enough, and reads all he has for each row of a join. Without statistics of this column it expects the same of
-- everybody, and looks rows up by their keys.
ALTER TABLE recipients ALTER COLUMN owner_id SET STATISTICS 0;
ALTER TABLE memberships ALTER COLUMN owner_id SET STATISTICS 0;
ALTER TABLE suppressions ALTER COLUMN owner_id SET STATISTICS 0;
ALTER TABLE deliveries ALTER COLUMN owner_id SET STATISTICS 0;
ALTER TABLE attempts ALTER COLUMN owner_id SET STATISTICS 0;
