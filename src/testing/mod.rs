//! Tests of the real protocol: a simulator of many machines and a file server, and a file system
//! that fails at every call with every errno.

mod faulty;
mod sim;
