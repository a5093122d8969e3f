//! The repository's files: those git tracks, and new ones that are not ignored.

use std::process::Command;

use anyhow::{Context as _, ensure};

/// A UTF-8 text file.
#[derive(Debug)]
pub struct File {
    /// Path relative to the repository root, with `/`.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl File {
    /// The file name extension without the dot. Empty if there is none.
    pub fn extension(&self) -> &str {
        (self.path.rsplit_once('.')).map_or("", |(_, extension)| extension)
    }
}

/// All text files of the repository.
#[derive(Debug)]
pub struct Tree {
    /// Sorted by path. Binary files are left out.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the repository that contains the working directory.
    pub fn read() -> anyhow::Result<Self> {
        let root = git(&["rev-parse", "--show-toplevel"])?;
        std::env::set_current_dir(root.trim())?;
        let list = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let mut files = Vec::new();
        for path in git(&list)?.split_terminator('\0') {
            let Ok(bytes) = std::fs::read(path) else {
                continue; // deleted, but not yet committed
            };
            let path = path.to_owned();
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains('\0')
            {
                files.push(File { path, text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Self { files })
    }

    /// Content of the file with this path.
    pub fn text(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(&file.text)
    }
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).output();
    let output = output.context("git does not start")?;
    ensure!(output.status.success(), "git {arguments:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}
