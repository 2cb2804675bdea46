//! The faults, each named after what the server does wrong.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// A newcomer gets nothing until it speaks.
    Silent,
    /// The speaker does not see its own line.
    NoEcho,
    /// The speaker sees its own line twice.
    EchoTwice,
    /// One of the room never hears the others.
    SkipsOne,
    /// A name is found to be free, and taken a little later.
    ChecksThenTakes,
    /// Private lines go to everyone.
    PrivateToAll,
    /// Private lines stand in the history that newcomers get.
    PrivateInHistory,
    /// The list forgets the one who came last.
    ListMissesOne,
    /// A client that has left stays in the list.
    ListsTheGone,
    /// Both the reader and the writer tell of a leave.
    LeaveTwice,
    /// A reset is not taken for a leave.
    ResetUnsaid,
    /// A line without a line break is forgotten at the end of file.
    DropsLastLine,
    /// At the end of file, what is on its way to the client is thrown away.
    ForgetsReceipts,
    /// The server's half of the connection stays open for ever.
    NeverCloses,
    /// A line is forgotten if its sender has hung up by the time it is read.
    HangUpUnheard,
    /// The connection of one who quits is closed with what it sent after that unread.
    ClosesAtQuit,
    /// Sixty clients may be here, whoever they are.
    FewPlaces,
    /// Ten threads serve one client each, to its end.
    PoolOfTen,
    /// Each thread writes to everyone in an order of its own.
    OwnOrder,
    /// Lines beyond a hundred at once are dropped.
    DropsBurst,
    /// Of two lines that wait, the later one goes first.
    SwapsLines,
    /// What one read returns ends a line.
    PacketsEndLines,
    /// What one read returns is a line, with the line breaks in it.
    PacketsAreLines,
    /// A write waits for its reader for 300 ms, with the room locked.
    HoldsUpTheRoom,
    /// A write waits for its reader, with the room locked.
    BlockingWrite,
    /// The queue of a reader has no bound.
    UnboundedQueue,
    /// A line that does not fit into the queue is dropped, and nobody is told.
    DropsWhenFull,
    /// A line is kept until its line break comes, however long it is.
    UnboundedLine,
    /// Text goes out as it came in.
    ForwardsEscapes,
    /// A text in /quit goes out as it came in.
    EscapesInLastWords,
    /// An HTTP request is talk.
    HearsHttp,
    /// Only GET is known for HTTP.
    HearsPost,
    /// As long as one client sends, nobody else is read.
    OneAtATime,
    /// Every client is as fast as it likes.
    Unpaced,
    /// A descriptor stays open for each client that was there.
    LeaksDescriptors,
    /// A thread waits for ever for each client that was there.
    LeaksThreads,
    /// The server ends when accept(2) fails.
    AcceptQuits,
    /// When accept(2) fails it is called again, at once and for ever.
    AcceptSpins,
    /// SIGTERM ends the process, and nobody is told.
    NoGoodbye,
    /// SIGTERM does nothing.
    IgnoresSigterm,
}
