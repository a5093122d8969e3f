ALTER TABLE media ADD COLUMN owner_id UUID; -- who uploaded it, for their limit; empty: uploaded before this migration
-- as migration 0097 says
ALTER TABLE media ALTER COLUMN owner_id SET STATISTICS 0;
CREATE INDEX media_owner ON media (owner_id) WHERE owner_id IS NOT NULL;
