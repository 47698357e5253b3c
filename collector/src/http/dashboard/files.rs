//! The files of the dashboard, by their paths in its folder.

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        pub(super) const FILES: &[(&str, &[u8])] =
            &[$(($path, include_bytes!(concat!("../../../dashboard/", $path)))),*];
    };
}

files! {
    "icon.svg",
    "style/base.css",
    "style/parts.css",
    "style/pages.css",
    "js/main.js",
    "js/dom.js",
    "js/api.js",
    "js/session.js",
    "js/format.js",
    "js/theme.js",
    "js/shell.js",
    "js/shortcuts.js",
    "js/parts.js",
    "js/dialog.js",
    "js/range.js",
    "js/chart.js",
    "js/scale.js",
    "js/bars.js",
    "js/stream.js",
    "js/sha256.js",
    "js/proof.js",
    "js/wallet.js",
    "js/metrics.js",
    "js/deployment.js",
    "js/pages/sign-in.js",
    "js/pages/overview.js",
    "js/pages/live.js",
    "js/pages/decision.js",
    "js/pages/decision-parts.js",
    "js/pages/decision-proof.js",
    "js/pages/sessions.js",
    "js/pages/alerts.js",
    "js/pages/limits.js",
    "js/pages/bundles.js",
    "js/pages/approvals.js",
    "js/pages/health.js",
    "js/pages/settings.js",
    "js/pages/access.js",
    "js/pages/journal.js",
}
