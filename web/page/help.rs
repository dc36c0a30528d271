//! The keys and the reading of the page, in a dialog.

use leptos::html::Dialog;
use leptos::prelude::*;

/// A handle to the dialog.
#[derive(Clone, Copy)]
pub struct HelpDialog(NodeRef<Dialog>);

impl HelpDialog {
    /// Of a dialog that [`Help`] will show.
    pub fn new() -> Self {
        Self(NodeRef::new())
    }

    /// Opens it. A browser without dialogs shows nothing, and the buttons have their titles.
    pub fn open(self) {
        if let Some(dialog) = self.0.get_untracked() {
            let _ = dialog.show_modal();
        }
    }

    /// Whether it is open.
    pub fn is_open(self) -> bool {
        self.0.get_untracked().is_some_and(|dialog| dialog.open())
    }
}

/// Each control of the page with its key. Its title is here too, because a finger has no way to ask for one.
const KEYS: [(&str, &str); 10] = [
    ("Space", "Play: train, or pause; at the end, train again"),
    (".", "Step: one step, then pause"),
    ("E", "Finish: end training here and test what was learned"),
    ("R", "Reset: the same run from the start"),
    ("Arrow keys", "on the map: go from centre to centre and read who is there"),
    ("Home", "on the map: go to the largest centre"),
    ("Enter", "on the map: keep the centre lit, or let go of it"),
    ("Back", "the browser's: return to the run before"),
    ("?", "this help"),
    ("Esc", "close what is open"),
];

/// The dialog.
#[component]
pub fn Help(dialog: HelpDialog) -> impl IntoView {
    let keys = KEYS.map(|(key, what)| {
        view! {
            <div>
                <dt>
                    <kbd>{key}</kbd>
                </dt>
                <dd>{what}</dd>
            </div>
        }
    });
    view! {
        <dialog node_ref=dialog.0 aria-labelledby="help-title" data-testid="help">
            <h2 id="help-title">"Help"</h2>
            <dl class="keys">{keys}</dl>
            <h3>"What is compared"</h3>
            <p>
                "PLE is a plain multi-task recommender. DUIA is the same model with three enhancements: the centre nearest to the user and the \
                 nearest of its children; a memory of the clusters whose users take the same items; and the clusters of the items in the user's \
                 history. A small gate tunes them to the user. Both train on the same rows in the same order from the same seed, so their \
                 difference is paired, and its interval is narrower than those of the curves."
            </p>
            <h3>"Which figures are final"</h3>
            <p>
                "While a run trains, curves and verdicts come from a probe set, a small part of the test rows. At its end the whole test set is \
                 scored once: its figures appear in a column of their own at the right of the charts, marked " <b>"final test"</b>
                ", and the verdict and the table switch to them."
            </p>
            <h3>"Links"</h3>
            <p>
                "The address bar holds the whole experiment. " <code>"seed=11"</code>", "<code>"centres=64"</code>", " <code>"device=cpu"</code>
                ", " <code>"sample=off"</code> ", " <code>"autoplay=off"</code> ", " <code>"theme=dark"</code> ", " <code>"hide=losses,data"</code>
                ", " <code>"lesson=collapse&step=2"</code> ", " <code>"embed=1"</code> " and " <code>"present=1"</code> " are keys. A value that does not fit is refused with a sentence."
            </p>
            <form method="dialog">
                <button class="primary" autofocus>"Close"</button>
            </form>
        </dialog>
    }
}
