//! What each transport's client adds to a message, without a network: `cargo bench --bench floor`.

use pushbench::{calibrate::Effort, floor};

fn main() {
    let floor = match floor::measure(Effort::Whole) {
        Ok(floor) => floor,
        Err(unmeasured) => {
            eprintln!("{unmeasured}");
            std::process::exit(1);
        }
    };
    eprintln!("{:>12}: {:.3} µs a message", "null", floor.null_us);
    eprintln!("{:>12}: {:.3} µs of it", "recorder", floor.recorder_us);
    for (transport, us) in &floor.by_transport {
        eprintln!("{transport:>12}: {us:.3} µs a message");
    }
}
