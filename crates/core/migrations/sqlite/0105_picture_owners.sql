ALTER TABLE media ADD COLUMN owner_id BLOB; -- who uploaded it, for their limit; empty: uploaded before this migration
CREATE INDEX media_owner ON media (owner_id) WHERE owner_id IS NOT NULL;
