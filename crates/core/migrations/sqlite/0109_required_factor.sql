-- Since when the account's role has required a second factor; NULL: it never did.
ALTER TABLE users ADD COLUMN factor_required_at INTEGER;
-- Cookies of browsers that an account knows count for one generation. It grows when all browsers are logged out.
ALTER TABLE users ADD COLUMN device_generation INTEGER NOT NULL DEFAULT 0;
