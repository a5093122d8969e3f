-- Start asks about more people than this, and can be taken back for so many seconds.
ALTER TABLE users ADD COLUMN ask_over INTEGER NOT NULL DEFAULT 100;
ALTER TABLE users ADD COLUMN take_back INTEGER NOT NULL DEFAULT 10;
-- Until when Start can be taken back. The engine makes no run while it is set, and clears it.
ALTER TABLE mailings ADD COLUMN take_back_until INTEGER;
CREATE INDEX mailings_take_back ON mailings (take_back_until) WHERE take_back_until IS NOT NULL;
