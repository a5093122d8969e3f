-- What a blocked person reads who gives the right password. The reason is for moderators.
ALTER TABLE users ADD COLUMN blocked_message TEXT;
