//! How a page looks: at what size and in which colours it is shown, and pictures of it.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::browser::driver::{Refused, as_text};
use crate::programs::target;

/// A screen narrower than this is a phone's: it is as wide as the page says it wants to be.
const PHONE_BELOW: u32 = 600;

/// The screens that pages are shown on, wide and high in pixels.
pub(super) const SCREENS: [(u32, u32); 2] = [(1280, 800), (390, 844)];

/// Which colours whoever looks has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Scheme {
    /// Its name in CSS.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// How pages are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) scheme: Scheme,
}

impl Default for Looks {
    fn default() -> Self {
        let [(width, height), _] = SCREENS;
        Self {
            width,
            height,
            scheme: Scheme::Light,
        }
    }
}

/// Waits until nothing moves any more: letters, pictures, whatever fades. What never ends is not
/// waited for.
const SETTLE: &str = "Promise.race([
    new Promise(resolve => setTimeout(resolve, 2000)),
    (async () => {
        await document.fonts.ready;
        for (const moving of document.getAnimations()) {
            try { moving.finish(); } catch { moving.cancel(); }
        }
        await Promise.all([...document.images].filter(image => image.loading !== 'lazy')
            .map(image => image.decode().catch(() => {})));
        await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    })(),
]).then(() => null)";

impl Browser {
    /// Shows pages on a screen of this size from now on, in pixels. One that is narrower than 600 is a
    /// phone's: it shows a page that says nothing of phones as if it were wide.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn resize(&self, width: u32, height: u32) {
        let looks = *self.looks.lock();
        self.apply(Looks {
            width,
            height,
            ..looks
        });
    }

    /// Asks pages for these colours from now on.
    ///
    /// # Panics
    /// Where the browser has ended.
    #[track_caller]
    pub fn color_scheme(&self, scheme: Scheme) {
        let looks = *self.looks.lock();
        self.apply(Looks { scheme, ..looks });
    }

    /// Writes a picture of the whole page, as PNG; folders are made.
    ///
    /// # Panics
    /// Where it cannot be taken or written.
    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        let picture = self.done("Taking a picture", self.picture());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).expect("a folder for pictures");
        }
        fs::write(path, picture).expect("a picture is written");
    }

    /// Writes pictures at 1280 and 390 pixels, light and dark, to `screenshots` in the folder of
    /// builds, as `NAME-1280-light.png`, and returns where they are.
    ///
    /// # Panics
    /// As [`Browser::screenshot`].
    #[track_caller]
    pub fn shoot_all(&self, name: &str) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        self.in_all_looks(|looks| {
            let path = picture_path(name, looks);
            self.screenshot(&path);
            paths.push(path);
        });
        paths
    }

    /// Does something on each screen and in each scheme, and then shows pages as before.
    #[track_caller]
    pub(super) fn in_all_looks(&self, mut act: impl FnMut(Looks)) {
        let before = *self.looks.lock();
        for (width, height) in SCREENS {
            for scheme in [Scheme::Light, Scheme::Dark] {
                let looks = Looks {
                    width,
                    height,
                    scheme,
                };
                self.apply(looks);
                act(looks);
            }
        }
        self.apply(before);
    }

    #[track_caller]
    pub(super) fn apply(&self, looks: Looks) {
        *self.looks.lock() = looks;
        self.done("Changing the looks", self.try_apply(looks));
    }

    fn try_apply(&self, looks: Looks) -> Result<(), Refused> {
        let screen = json!({
            "width": looks.width,
            "height": looks.height,
            "deviceScaleFactor": 1,
            "mobile": looks.width < PHONE_BELOW,
        });
        self.driver
            .devtools("Emulation.setDeviceMetricsOverride", &screen)?;
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": looks.scheme.name()},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.driver
            .devtools("Emulation.setEmulatedMedia", &features)?;
        self.driver.evaluate(SETTLE, None).map(drop)
    }

    fn picture(&self) -> Result<Vec<u8>, Refused> {
        self.driver.evaluate(SETTLE, None)?;
        let size = self.driver.devtools("Page.getLayoutMetrics", &json!({}))?;
        let looks = *self.looks.lock();
        let of_page = |key: &str| {
            let size = size.pointer(&format!("/cssContentSize/{key}"));
            size.and_then(Value::as_f64).unwrap_or_default()
        };
        let clip = json!({
            "x": 0,
            "y": 0,
            "width": of_page("width").max(f64::from(looks.width)),
            "height": of_page("height").max(f64::from(looks.height)),
            "scale": 1,
        });
        let how = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let picture = self.driver.devtools("Page.captureScreenshot", &how)?;
        let data = as_text(picture.get("data"));
        BASE64.decode(data.as_bytes()).map_err(|error| Refused {
            error: "no picture".to_owned(),
            message: error.to_string(),
        })
    }
}

/// Where a picture of that name is kept.
pub(super) fn picture_path(name: &str, looks: Looks) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(
        !name.is_empty() && name.chars().all(is_plain),
        "{name:?} is no name of a picture: small letters, digits and dashes"
    );
    let (width, scheme) = (looks.width, looks.scheme.name());
    target()
        .join("screenshots")
        .join(format!("{name}-{width}-{scheme}.png"))
}
