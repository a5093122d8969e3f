-- What a blocked person reads who gives the right password. The reason is for moderators.
ALTER TABLE users ADD COLUMN blocked_message TEXT;
ALTER TABLE users ALTER COLUMN blocked_message SET STATISTICS 0;
