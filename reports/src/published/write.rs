//! From the runs below a directory to `claims.html`, `claims.json` and the book's chapters.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::book::chapter;
use super::evidence::Placed;
use super::page::page;
use super::{Verdicts, verdicts};
use crate::language::Language;
use crate::read::{MANIFEST, ReadError, read};
use crate::render::{RenderError, write};

/// Folders below the directory that are looked into for runs: a run is at most two below in any use so far.
const DEPTH_MOST: usize = 4;

/// What was found and written.
#[derive(Debug)]
pub struct Published {
    /// As in `claims.json`.
    pub verdicts: Verdicts,
    /// The page.
    pub page: PathBuf,
    /// The book's chapters, if it was asked for.
    pub chapters: Vec<PathBuf>,
}

/// Why claims cannot be judged; nothing was overwritten unless writing itself failed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// No run.
    #[error(
        "there is no run in {0} nor below it: name a directory that holds what `pushbench run --out` wrote"
    )]
    NoRun(PathBuf),
    /// No book.
    #[error("{0} is not the book's directory: it needs a folder `en` and a folder `zh`")]
    NoBook(PathBuf),
    /// A run that cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A folder that cannot be read.
    #[error("cannot look into {path}: {source}; check its permissions")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that cannot be written, or the page's template.
    #[error(transparent)]
    Render(#[from] RenderError),
}

/// Judges every claim by the runs in `dir` and below, and writes `claims.html` and `claims.json` into it;
/// with `book`, `en/claims.md` and `zh/claims.md` into that. The page shows `language` first. The same
/// records give the same bytes.
///
/// # Errors
/// [`PublishError`], naming the file and the remedy.
pub fn publish(
    dir: &Path,
    book: Option<&Path>,
    language: Language,
) -> Result<Published, PublishError> {
    let mut runs = Vec::new();
    if !dir.is_dir() {
        return Err(ReadError::NoDirectory(dir.to_owned()).into());
    }
    collect(dir, "", 0, &mut runs)?;
    if runs.is_empty() {
        return Err(PublishError::NoRun(dir.to_owned()));
    }
    let verdicts = verdicts(runs);
    let html = page(&verdicts, language).map_err(RenderError::from)?;
    let json = serde_json::to_string_pretty(&verdicts).map_err(RenderError::from)? + "\n";
    let mut files = vec![(dir.join("claims.json"), json)];
    let mut chapters = Vec::new();
    if let Some(book) = book {
        for language in Language::ALL {
            let folder = book.join(language.tag());
            if !folder.is_dir() {
                return Err(PublishError::NoBook(book.to_owned()));
            }
            let path = folder.join("claims.md");
            files.push((
                path.clone(),
                chapter(&verdicts, &way(&folder, dir)?, language),
            ));
            chapters.push(path);
        }
    }
    let page = dir.join("claims.html");
    files.push((page.clone(), html));
    for (path, text) in &files {
        write(path, text.as_bytes())?;
    }
    Ok(Published {
        verdicts,
        page,
        chapters,
    })
}

/// Every run in a directory and below, in the order of names.
fn collect(
    dir: &Path,
    place: &str,
    depth: usize,
    runs: &mut Vec<Placed>,
) -> Result<(), PublishError> {
    if dir.join(MANIFEST).is_file() {
        runs.push(Placed {
            place: place.to_owned(),
            run: read(dir)?,
        });
    }
    if depth == DEPTH_MOST {
        return Ok(());
    }
    for name in folders(dir).map_err(|source| PublishError::Folder {
        path: dir.to_owned(),
        source,
    })? {
        let below = match place {
            "" => name.clone(),
            place => format!("{place}/{name}"),
        };
        collect(&dir.join(&name), &below, depth + 1, runs)?;
    }
    Ok(())
}

/// Names of the folders in one, links to others left out: they might lead back.
fn folders(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The way from one folder to another, with slashes between and at its end.
fn way(from: &Path, to: &Path) -> Result<String, PublishError> {
    let whole = |path: &Path| {
        path.canonicalize().map_err(|source| PublishError::Folder {
            path: path.to_owned(),
            source,
        })
    };
    Ok(relative(&whole(from)?, &whole(to)?))
}

fn relative(from: &Path, to: &Path) -> String {
    let names = |path: &Path| -> Vec<String> {
        let normal = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        });
        normal.collect()
    };
    let (from, to) = (names(from), names(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(shared).map(|_| "..");
    let down = to.iter().skip(shared).map(String::as_str);
    up.chain(down).map(|name| format!("{name}/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_goes_up_to_what_is_shared_and_down_again() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(way("/a/docs/en", "/a/docs/sample"), "../sample/");
        assert_eq!(way("/a/docs/en", "/b"), "../../../b/");
        assert_eq!(way("/a", "/a"), "");
    }
}
