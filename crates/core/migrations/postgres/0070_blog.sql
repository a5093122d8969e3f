-- The blog: posts with their history, their old addresses, tags and pictures. A post belongs to the service, not to a
-- user: all content managers work on all of them.

CREATE TABLE posts (
    id           UUID    NOT NULL PRIMARY KEY,
    title        TEXT    NOT NULL,
    slug         TEXT    NOT NULL UNIQUE,
    author       TEXT    NOT NULL,          -- the name under the title
    language     TEXT    NOT NULL CHECK (language IN ('ru', 'en')),
    summary      TEXT    NOT NULL,          -- empty: made from the body
    body         TEXT    NOT NULL,          -- Markdown
    cover_id     UUID,
    cover_alt    TEXT    NOT NULL,
    html         TEXT    NOT NULL,          -- the body, rendered and sanitised when it was saved
    excerpt      TEXT    NOT NULL,          -- the summary, or the beginning of the body
    minutes      BIGINT  NOT NULL,          -- to read it
    search       TEXT    NOT NULL,          -- title, tags and text in lower case
    published    BOOLEAN NOT NULL,
    published_at BIGINT,                    -- set at the first publication; a future moment schedules
    views        BIGINT  NOT NULL,
    version      BIGINT  NOT NULL,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE INDEX posts_published ON posts (published_at) WHERE published;

-- Every address a post has or had. An old one leads to the new one.
CREATE TABLE post_slugs (
    slug    TEXT NOT NULL PRIMARY KEY,
    post_id UUID NOT NULL REFERENCES posts (id) ON DELETE CASCADE
);
CREATE INDEX post_slugs_post ON post_slugs (post_id);

CREATE TABLE post_tags (
    post_id  UUID   NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    slug     TEXT   NOT NULL,               -- in addresses
    name     TEXT   NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (post_id, slug)
);
CREATE INDEX post_tags_slug ON post_tags (slug);

-- The history: what was written, who did what and when. A post's version is the number of its last row.
CREATE TABLE post_versions (
    post_id UUID   NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    act     TEXT   NOT NULL CHECK (act IN ('created', 'saved', 'restored', 'published', 'scheduled', 'unpublished')),
    content JSONB  NOT NULL,                -- the fields of the editor
    user_id UUID   REFERENCES users (id) ON DELETE SET NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (post_id, version)
);

-- What an editor has typed and not saved.
CREATE TABLE post_drafts (
    post_id UUID   NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    user_id UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,                -- of the post when typing began
    content JSONB  NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (post_id, user_id)
);

-- Pictures. The files exist as long as the row does: it is made before them and removed after them.
CREATE TABLE media (
    id         UUID   NOT NULL PRIMARY KEY,
    post_id    UUID   REFERENCES posts (id) ON DELETE SET NULL,
    name       TEXT   NOT NULL,             -- of the uploaded file
    state      TEXT   NOT NULL CHECK (state IN ('storing', 'stored', 'removing')),
    width      BIGINT NOT NULL,
    height     BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL              -- uploaded, or last seen in a text that was not saved
);
CREATE INDEX media_post ON media (post_id);

-- The widths of a picture.
CREATE TABLE media_files (
    name     TEXT   NOT NULL PRIMARY KEY,   -- in addresses and in the store
    media_id UUID   NOT NULL REFERENCES media (id) ON DELETE CASCADE,
    width    BIGINT NOT NULL,
    height   BIGINT NOT NULL,
    bytes    BIGINT NOT NULL
);
CREATE INDEX media_files_media ON media_files (media_id);

-- The pictures of each version, so that every version can be restored.
CREATE TABLE post_media (
    post_id  UUID   NOT NULL,
    version  BIGINT NOT NULL,
    media_id UUID   NOT NULL,
    PRIMARY KEY (post_id, version, media_id),
    FOREIGN KEY (post_id, version) REFERENCES post_versions (post_id, version) ON DELETE CASCADE
);
CREATE INDEX post_media_media ON post_media (media_id);
