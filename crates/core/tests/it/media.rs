use std::time::Duration;

use skychimp_core::blog::media::{self, Gallery, Picture, UNUSED_RETENTION};
use skychimp_core::blog::post::{Editor, Post, PostDraft, UnsavedDraft};
use skychimp_core::platform::ids::PostId;
use skychimp_core::testing::{TestDb, peer_at};

use crate::posts::{draft, editor};
use crate::support::at;

const NOW: &str = "2027-01-01T12:00:00Z";

/// A PNG of 1 × 1 pixels.
const DOT: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\
                     \xc4\x89\0\0\0\x0bIDATx\x9cc\xf8\x0f\x04\0\x09\xfb\x03\xfd\xfb^k+\0\0\0\0IEND\xaeB`\x82";

async fn upload(
    db: &TestDb,
    gallery: &Gallery,
    editor: Editor,
    post: PostId,
    name: &str,
) -> Picture {
    let prepared = gallery.prepare(|| Ok(DOT)).await.unwrap();
    media::store(db, gallery, editor, post, name, prepared, at(NOW))
        .await
        .unwrap()
        .unwrap()
}

/// R48: an image is kept as long as any version or unsaved text of a post shows it; then it is
/// removed with its files.
#[tokio::test]
async fn unused_pictures_are_cleaned_up() {
    let db = TestDb::new().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let gallery = Gallery::in_folder(folder.path()).unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let cover = upload(&db, &gallery, ann, id, "cover.png").await;
    let inside = upload(&db, &gallery, ann, id, "inside.png").await;
    let typing = upload(&db, &gallery, ann, id, "typing.png").await;
    let unused = upload(&db, &gallery, ann, id, "unused.png").await;
    assert_eq!(folder.path().read_dir().unwrap().count(), 4);

    let mut tx = db.write().await.unwrap();
    assert_eq!(Picture::of_post(&mut tx, id).await.unwrap().len(), 4);
    let shown = |picture: &Picture| format!("![x](/media/{})", picture.files[0].name);
    let with_both = PostDraft {
        cover_id: Some(cover.id),
        cover_alt: "A dot".to_owned(),
        body: shown(&inside),
        ..draft("News")
    };
    Post::save(&mut tx, ann, id, 1, &with_both, at(NOW))
        .await
        .unwrap();
    // the next version shows none of them, but the previous one can be restored
    Post::save(&mut tx, ann, id, 2, &draft("News"), at(NOW))
        .await
        .unwrap();
    let kept = PostDraft {
        body: shown(&typing),
        ..draft("News")
    };
    let later = at(NOW) + UNUSED_RETENTION / 2;
    UnsavedDraft::save(&mut tx, ann, id, 3, &kept, later)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    assert_eq!(
        media::clean_up(&db, &gallery, at(NOW) + UNUSED_RETENTION)
            .await
            .unwrap(),
        0
    );
    let after = at(NOW) + UNUSED_RETENTION + Duration::from_secs(1);
    assert_eq!(media::clean_up(&db, &gallery, after).await.unwrap(), 1);
    assert_eq!(gallery.get(&unused.files[0].name).await.unwrap(), None);
    // the unsaved text is old: it is removed together with its image
    assert_eq!(
        media::clean_up(
            &db,
            &gallery,
            later + UNUSED_RETENTION + Duration::from_secs(1)
        )
        .await
        .unwrap(),
        1
    );
    assert_eq!(gallery.get(&typing.files[0].name).await.unwrap(), None);
    let mut tx = db.write().await.unwrap();
    assert_eq!(UnsavedDraft::of(&mut tx, ann, id).await.unwrap(), None);
    assert!(gallery.get(&inside.files[0].name).await.unwrap().is_some());

    Post::restore(&mut tx, ann, id, 3, 2, later)
        .await
        .unwrap()
        .unwrap();
    let post = Post::get(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!(post.cover_id, Some(cover.id));
    assert!(post.html.contains(&inside.files[0].name), "{}", post.html);
    assert!(Post::delete(&mut tx, ann, id, later).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(media::clean_up(&db, &gallery, after).await.unwrap(), 2);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

/// R48: an interrupted upload leaves nothing behind, and a missing post accepts none.
#[tokio::test]
async fn interrupted_uploads_leave_nothing() {
    let db = TestDb::new().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let gallery = Gallery::in_folder(&folder.path().join("media")).unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let prepared = gallery.prepare(|| Ok(DOT)).await.unwrap();
    let nowhere = media::store(
        &db,
        &gallery,
        ann,
        PostId::new(at(NOW)),
        "x",
        prepared,
        at(NOW),
    )
    .await;
    assert_eq!(nowhere.unwrap(), None);

    // the store refuses writes
    std::fs::remove_dir_all(folder.path().join("media")).unwrap();
    std::fs::write(folder.path().join("media"), "").unwrap();
    let prepared = gallery.prepare(|| Ok(DOT)).await.unwrap();
    assert!(
        media::store(&db, &gallery, ann, id, "x.png", prepared, at(NOW))
            .await
            .is_err()
    );
    let mut tx = db.read().await.unwrap();
    assert_eq!(Picture::of_post(&mut tx, id).await.unwrap(), []);
    drop(tx);
    std::fs::remove_file(folder.path().join("media")).unwrap();
    std::fs::create_dir(folder.path().join("media")).unwrap();
    assert_eq!(media::clean_up(&db, &gallery, at(NOW)).await.unwrap(), 0);
    let later = at(NOW) + Duration::from_hours(2);
    assert_eq!(media::clean_up(&db, &gallery, later).await.unwrap(), 1);
}

/// R48: images can be kept in an S3-compatible store instead of a folder.
#[tokio::test]
async fn pictures_live_in_an_s3_store() {
    // `tests/services.sh` starts one; plain `cargo test` has none
    let Some(url) = peer_at("TEST_S3_URL") else {
        return;
    };
    let db = TestDb::new().await.unwrap();
    let gallery = Gallery::s3(&url).unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let picture = upload(&db, &gallery, ann, id, "dot.png").await;
    let name = &picture.files[0].name;
    let content = gallery.get(name).await.unwrap().unwrap();
    assert_eq!(
        content.len(),
        usize::try_from(picture.files[0].bytes).unwrap()
    );
    assert_eq!(
        gallery
            .get("ffffffffffffffffffffffff-1.webp")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        media::clean_up(&db, &gallery, at(NOW) + UNUSED_RETENTION * 2)
            .await
            .unwrap(),
        1
    );
    assert_eq!(gallery.get(name).await.unwrap(), None);
    gallery.delete(name).await.unwrap();
}
