//! Sample blog articles about writing letters, with generated cover pictures.

use std::f32::consts::TAU;
use std::io::Cursor;
use std::time::Duration;

use anyhow::Context as _;
use image::{ImageFormat, Rgb, RgbImage};
use skychimp_core::accounts::user::User;
use skychimp_core::blog::media;
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::UserId;

use crate::program::Program;

/// A sample article.
struct Sample {
    title: &'static str,
    language: &'static str,
    tags: &'static [&'static str],
    body: &'static str,
    alt: &'static str,
    /// Two colours of the sky, then two of the ground.
    colours: [[u8; 3]; 4],
    /// Hours since publication. Negative: scheduled for the future.
    hours_ago: i64,
}

const SAMPLES: [Sample; 5] = [
    Sample {
        title: "Список, который не стареет",
        language: "ru",
        tags: &["База", "Доставка"],
        body: include_str!("posts/list.md"),
        alt: "Зелёные холмы под утренним небом",
        colours: [
            [236, 241, 214],
            [157, 198, 174],
            [74, 133, 112],
            [26, 70, 66],
        ],
        hours_ago: 24 * 30,
    },
    Sample {
        title: "When to send: the hour matters less than you think",
        language: "en",
        tags: &["Timing", "Practice"],
        body: include_str!("posts/hour.md"),
        alt: "Hills in violet evening light",
        colours: [
            [250, 214, 196],
            [214, 143, 150],
            [126, 84, 123],
            [52, 42, 84],
        ],
        hours_ago: 24 * 16,
    },
    Sample {
        title: "Тема письма: семь слов, которые решают",
        language: "ru",
        tags: &["Тексты", "Практика"],
        body: include_str!("posts/subject.md"),
        alt: "Песчаные дюны на закате",
        colours: [
            [253, 233, 190],
            [240, 180, 91],
            [196, 110, 62],
            [104, 52, 42],
        ],
        hours_ago: 24 * 7,
    },
    Sample {
        title: "What a mail server says, and what it means",
        language: "en",
        tags: &["Delivery", "Practice"],
        body: include_str!("posts/replies.md"),
        alt: "Blue mountains behind a lake",
        colours: [
            [222, 236, 241],
            [136, 184, 200],
            [58, 120, 140],
            [21, 62, 71],
        ],
        hours_ago: 26,
    },
    Sample {
        title: "Письмо на прощание",
        language: "ru",
        tags: &["Тексты"],
        body: include_str!("posts/goodbye.md"),
        alt: "Зимние холмы в сумерках",
        colours: [
            [232, 234, 246],
            [170, 178, 214],
            [98, 108, 160],
            [44, 52, 100],
        ],
        hours_ago: -48,
    },
];

/// Creates and publishes the articles. The last one is scheduled two days ahead.
pub async fn write(program: &Program, db: &Db, writer: UserId) -> anyhow::Result<()> {
    let gallery = program.gallery()?;
    let now = program.clock.now();
    let mut tx = db.read().await?;
    let user = User::get(&mut tx, writer).await?;
    drop(tx);
    let editor = user.as_ref().and_then(Editor::of).context("no editor")?;
    for (number, sample) in SAMPLES.iter().enumerate() {
        let then = hours(sample.hours_ago.max(0)).map_or(now, |ago| now - ago);
        let mut draft = PostDraft {
            title: sample.title.to_owned(),
            author: if sample.language == "ru" {
                "Мария Соколова"
            } else {
                "Mary Falcon"
            }
            .to_owned(),
            language: sample.language.to_owned(),
            body: sample.body.to_owned(),
            tags: sample.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..PostDraft::default()
        };
        let mut tx = db.write().await?;
        let id = Post::create(&mut tx, editor, &draft, then).await?;
        tx.commit().await?;
        let drawn = landscape(sample.colours, number)?;
        let drawn = gallery.prepare(|| Ok(drawn)).await?;
        let picture = media::store(db, &gallery, editor, id, "hills.png", drawn, then).await?;
        draft.cover_id = picture.map(|picture| picture.id);
        sample.alt.clone_into(&mut draft.cover_alt);
        let mut tx = db.write().await?;
        let version = Post::save(&mut tx, editor, id, 1, &draft, then)
            .await?
            .context("no post")?;
        let planned = hours(-sample.hours_ago).map(|ahead| now + ahead);
        Post::publish(&mut tx, editor, id, version, planned, then).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn hours(count: i64) -> Option<Duration> {
    u64::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .map(Duration::from_hours)
}

/// Draws a landscape of overlapping hills, 1280 × 720 pixels, and encodes it as PNG.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "coordinates and colours of a drawing"
)]
fn landscape(colours: [[u8; 3]; 4], number: usize) -> anyhow::Result<Vec<u8>> {
    const WIDTH: u32 = 1280;
    const HEIGHT: u32 = 720;
    const HILLS: usize = 5;
    let mix = |a: [u8; 3], b: [u8; 3], share: f32| -> [u8; 3] {
        std::array::from_fn(|i| {
            (f32::from(a[i]) + (f32::from(b[i]) - f32::from(a[i])) * share) as u8
        })
    };
    let seed = number as f32 * 1.7;
    let crest = |hill: usize, x: u32| {
        let (far, x) = (hill as f32, x as f32 / WIDTH as f32 * TAU);
        let wave = (x * (0.55 + far * 0.23) + seed + far * 2.1).sin() * 0.055
            + (x * (1.6 + far * 0.4) + seed * 2.0 + far).sin() * 0.022;
        ((0.44 + far * 0.12 + wave) * HEIGHT as f32) as u32
    };
    let crests: Vec<[u32; HILLS]> = (0..WIDTH)
        .map(|x| std::array::from_fn(|hill| crest(hill, x)))
        .collect();
    let ground: [[u8; 3]; HILLS] = std::array::from_fn(|hill| {
        let near = (hill + 1) as f32 / HILLS as f32 * 2.0;
        if near < 1.0 {
            mix(colours[1], colours[2], near)
        } else {
            mix(colours[2], colours[3], near - 1.0)
        }
    });
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let above = crests[x as usize].iter().rposition(|crest| y > *crest);
        if let Some(hill) = above {
            return Rgb(ground[hill]);
        }
        let (x, y) = (x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
        let (dx, dy) = ((x - 0.68 + seed * 0.05) * 16.0 / 9.0, y - 0.27);
        let sun = (dx * dx + dy * dy).sqrt() < 0.075;
        let sky = mix(colours[0], colours[1], y * 0.9);
        Rgb(if sun {
            mix(sky, [255, 252, 240], 0.85)
        } else {
            sky
        })
    });
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, ImageFormat::Png)?;
    Ok(out.into_inner())
}
