//! Tests of the real protocol: a simulator of many machines and a file server, a file system that
//! fails at every call with every errno, and wake-up hints through the loopback interface.

mod faulty;
mod hints;
mod sim;
