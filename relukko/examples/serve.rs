//! Serves a directory's locks until it is killed: `serve DIR ADDRESS`, with the key in
//! RELUKKO_API_KEY.

use linklock_relukko::Server;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(address)) = (args.next(), args.next()) else {
        return Err("usage: serve DIR ADDRESS".into());
    };
    let key = std::env::var("RELUKKO_API_KEY")?;
    let server = Server::options(dir).bind(address.parse()?).api_key(&key).start()?;
    println!("http://{}", server.address());
    loop {
        std::thread::park();
    }
}
