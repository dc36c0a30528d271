//! The device in use, why, and which one to ask for.

use duia::wire::{DeviceChoice, DeviceReport};
use leptos::prelude::*;

use crate::address;
use crate::card::Card;
use crate::session::Session;

/// The device in a word, and on a closer look why; another can be asked for there.
#[component]
pub fn DeviceBadge() -> impl IntoView {
    let session = expect_context::<Session>();
    let run = session.run;
    let backend =
        Signal::derive(move || run.device.with(|device| device.as_ref().map_or_else(|| "…".into(), |device| device.backend.clone())));
    view! {
        <Card kind="Device" name="device-badge" value=backend>
            {move || match run.device.get() {
                Some(device) => reasons(device).into_any(),
                None => "Looking for a device.".into_any(),
            }}
            <Choice session />
        </Card>
    }
}

fn reasons(device: DeviceReport) -> impl IntoView {
    let test = match device.self_test {
        Some(difference) => format!("Self-test: its figures differ from the CPU's by at most {difference:.1e}."),
        None => "No self-test is needed: this is the CPU that others are compared with.".into(),
    };
    view! {
        <strong>{format!("{}: {}", device.backend, device.adapter)}</strong>
        <span>{device.reason}</span>
        <span>{test}</span>
    }
}

#[component]
fn Choice(session: Session) -> impl IntoView {
    const CHOICES: [(DeviceChoice, &str); 3] =
        [(DeviceChoice::Auto, "the faster of GPU and CPU"), (DeviceChoice::Gpu, "the GPU or nothing"), (DeviceChoice::Cpu, "the CPU")];
    let asked = Memo::new(move |_| session.address.with(|address| address.device));
    let options = CHOICES.map(|(choice, words)| {
        view! {
            <option value=address::device_word(choice) selected=move || asked.get() == choice>
                {words}
            </option>
        }
    });
    let choose = move |event| {
        let word = event_target_value(&event);
        if let Some((choice, _)) = CHOICES.into_iter().find(|(choice, _)| address::device_word(*choice) == word) {
            session.set_device(choice);
        }
    };
    view! {
        <label>
            <span>"Train on"</span>
            <select data-testid="device" on:change=choose>
                {options}
            </select>
        </label>
    }
}
