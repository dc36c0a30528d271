//! The device in use, and on a closer look why.

use duia::wire::DeviceReport;
use leptos::prelude::*;

use crate::session::Session;

/// A badge whose card opens under the pointer and with the focus.
#[component]
pub fn DeviceBadge() -> impl IntoView {
    let run = expect_context::<Session>().run;
    let backend = move || run.device.with(|device| device.as_ref().map_or_else(|| "not known yet".into(), |device| device.backend.clone()));
    view! {
        <span class="hover">
            <button type="button" class="badge" data-testid="device-badge" aria-describedby="device-card">
                <span class="badge-kind">"Device"</span>
                <span>{backend}</span>
            </button>
            <span class="hover-card" id="device-card" role="tooltip" data-testid="device-card">
                {move || match run.device.get() {
                    Some(device) => card(device).into_any(),
                    None => "The device is being looked for.".into_any(),
                }}
            </span>
        </span>
    }
}

fn card(device: DeviceReport) -> impl IntoView {
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
