//! The links of rendered pages.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Checks `href` and `src` of every page below `folder`: how many there were, and which lead nowhere.
pub fn broken_links(folder: &Path) -> (usize, Vec<String>) {
    let mut pages = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "html") {
                let text = fs::read_to_string(&path).unwrap();
                pages.insert(path.canonicalize().unwrap(), text);
            }
        }
    }
    let mut checked = 0;
    let mut broken = Vec::new();
    for (page, text) in &pages {
        for link in links(text) {
            checked += 1;
            if !leads_somewhere(page, &link, &pages) {
                broken.push(format!("{} leads to {link}", page.display()));
            }
        }
    }
    (checked, broken)
}

/// Of a page's text, without those of its scripts.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in [" href=\"", " src=\""] {
        let values = text.split(attribute).skip(1);
        found.extend(values.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    found
}

fn leads_somewhere(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> bool {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
        return true;
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap_or_default();
    let target = if path.is_empty() {
        page.to_owned()
    } else {
        page.parent().unwrap().join(path)
    };
    let Ok(target) = target.canonicalize() else {
        return false;
    };
    let named = |text: &String| {
        let fragment = unescaped(fragment);
        ["id", "name"]
            .iter()
            .any(|key| text.contains(&format!("{key}=\"{fragment}\"")))
    };
    fragment.is_empty() || pages.get(&target).is_none_or(named)
}

/// Percent-encoding undone (RFC 3986 §2.1), as fragments of Chinese headings have it.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind
            .get(..2)
            .and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let page = "<h2 id=\"一\"></h2><a class=\"x\" href=\"#%E4%B8%80\"></a><a href=\"b.svg\"></a><a href=\"#no\"></a><img src=\"none.svg\">";
    fs::write(folder.path().join("a.html"), page).unwrap();
    fs::write(folder.path().join("b.svg"), "").unwrap();
    let (checked, broken) = broken_links(folder.path());
    assert_eq!((checked, broken.len()), (4, 2), "{broken:?}");
}
