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

const KEYS: [(&str, &str); 6] = [
    ("Space", "play or pause; at the end, play again"),
    (".", "one step"),
    ("E", "end training here and test what was learned"),
    ("R", "the same run from the start"),
    ("?", "this help"),
    ("Esc", "close it"),
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
            <h3>"What is on trial"</h3>
            <p>
                "PLE is a plain multi-task recommender. DUIA is the same model, and it also sees the cluster centre nearest to the user with the "
                "nearest of its children, and a memory of which clusters take what the user took, both tuned to that user by a small gate; and of "
                "the items that the user took last the clusters, and how many of them are the candidate's own. Both train on the same rows in the same order from the same seed, so their difference is "
                "paired: its interval is narrower than those of the curves."
            </p>
            <h3>"Links"</h3>
            <p>
                "The address bar holds the whole experiment. " <code>"seed=11"</code>", "<code>"centres=64"</code>", " <code>"device=cpu"</code>
                ", " <code>"sample=off"</code> ", " <code>"autoplay=off"</code> " and " <code>"theme=dark"</code>
                " are keys; a value that does not fit is refused with a sentence."
            </p>
            <form method="dialog">
                <button class="primary">"Close"</button>
            </form>
        </dialog>
    }
}
