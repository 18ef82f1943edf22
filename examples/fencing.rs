//! A resource that rejects a holder that has lost the lock: it remembers the highest fencing token that
//! it has seen, and rejects a write with a lower one.
//!
//! The resource here is a program with a line of text, which listens on a TCP port; it could as well
//! be a table with a column for the token. It must compare and write in one step.
//!
//!     cargo run --example fencing -- serve                 # prints its address
//!     cargo run --example fencing -- write ADDRESS /shared/report.lock TEXT

use std::env::args;
use std::error::Error;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use linklock::Lock;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(),
        ["write", address, lock, text] => write(address, lock, text),
        _ => Err("usage: fencing serve | fencing write ADDRESS LOCK TEXT".into()),
    }
}

/// The resource: reads `TOKEN TEXT`, one line per connection, and answers with the result.
fn serve() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let mut highest = 0;
    for connection in listener.incoming() {
        let mut connection = connection?;
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line)?;
        let answer = match line.trim_end().split_once(' ') {
            Some((token, text)) => match token.parse::<u64>() {
                Ok(token) if token >= highest => {
                    highest = token;
                    format!("accepted: {text}")
                }
                _ => format!("refused: {highest} was here"),
            },
            None => "refused: there is no token".to_owned(),
        };
        println!("{answer}");
        writeln!(connection, "{answer}")?;
    }
    Ok(())
}

/// A holder that works until Enter is pressed, and then writes without verifying that it still has the
/// lock, since it might be stopped between the check and the write.
fn write(address: &str, lock: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let lock = Lock::options(lock)
        .lifetime(Duration::from_secs(1)) // short for the sake of the example
        .clock_slop(Duration::from_secs(1))
        .fencing(true)
        .build()?;
    let guard = lock.lock()?;
    let token = guard.token().ok_or("the lock has no tokens")?;
    println!("holds the lock with token {token}: press Enter to write");
    stdin().read_line(&mut String::new())?;

    let mut connection = TcpStream::connect(address)?;
    writeln!(connection, "{token} {text}")?;
    let mut answer = String::new();
    BufReader::new(connection).read_line(&mut answer)?;
    print!("{answer}");
    guard.unlock()?; // an error, if the lock was lost
    Ok(())
}
