//! The server is killed and booted again, forgets its replies, and can't be reached, while all
//! clients contend.

use std::{thread, time::Duration};

use crate::{
    lab::{Lab, Options},
    scene::{contend, crowd, lab_for},
};

#[test]
fn contenders_ride_out_what_happens_to_the_server_v3() {
    ride_out("server3", "3");
}

#[test]
fn contenders_ride_out_what_happens_to_the_server_v42() {
    ride_out("server42", "4.2");
}

fn ride_out(name: &str, version: &str) {
    let Some(lab) = lab_for(name, version, &Options::default()) else { return };
    contend(&lab, "killed", crowd(&lab, 2), || lab.restart("server"));
    contend(&lab, "forgetful", crowd(&lab, 2), || lab.forget_replies());
    contend(&lab, "mute", crowd(&lab, 2), || be_mute(&lab));
}

fn be_mute(lab: &Lab) {
    lab.mute("c1");
    thread::sleep(Duration::from_secs(3));
    lab.unmute("c1");
}
