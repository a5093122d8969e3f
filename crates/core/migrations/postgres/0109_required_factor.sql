-- Since when the account's role has required a second factor; NULL: it never did.
ALTER TABLE users ADD COLUMN factor_required_at BIGINT;
-- Cookies of browsers that an account knows count for one generation. It grows when all browsers are logged out.
ALTER TABLE users ADD COLUMN device_generation BIGINT NOT NULL DEFAULT 0;

-- as migration 0097 says
ALTER TABLE users ALTER COLUMN factor_required_at SET STATISTICS 0, ALTER COLUMN device_generation SET STATISTICS 0;
